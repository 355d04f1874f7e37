with

source as (

    select * from {{ source('dv360_erf', 'universal_channel') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as universal_channel_id,

        -- attributes
        {{ text('name') }} as universal_channel_name,
        is_deleted,
        is_brand_safe_channel,

        -- records and lists, as they came
        site_ids,
        accessing_advertisers as accessing_advertiser_ids,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
