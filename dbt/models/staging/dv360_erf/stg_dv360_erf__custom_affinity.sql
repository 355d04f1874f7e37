with

source as (

    select * from {{ source('dv360_erf', 'custom_affinity') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as custom_affinity_id,
        advertiser_id,

        -- attributes
        {{ text('name') }} as custom_affinity_name,
        {{ text('description') }} as custom_affinity_description,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
