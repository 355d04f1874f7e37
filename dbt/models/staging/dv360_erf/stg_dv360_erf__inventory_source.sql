with

source as (

    select * from {{ source('dv360_erf', 'inventory_source') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        id as inventory_source_id,
        exchange_id,

        -- attributes
        unclassified as is_unclassified,
        {{ text('inventory_name') }} as inventory_name,
        {{ text('external_id') }} as external_id,
        {{ from_micros('min_cpm_micros') }} as min_cpm,
        {{ text('min_cpm_currency_code') }} as min_cpm_currency_code,

        -- records and lists, as they came
        accessing_advertisers as accessing_advertiser_ids,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
