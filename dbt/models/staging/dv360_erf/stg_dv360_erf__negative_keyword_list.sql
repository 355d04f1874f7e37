with

source as (

    select * from {{ source('dv360_erf', 'negative_keyword_list') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as negative_keyword_list_id,
        advertiser_id,

        -- attributes
        {{ text('name') }} as negative_keyword_list_name,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
